"""`spamfilter completion`: what makes a shell complete commands and options."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete what is typed after `spamfilter`.

    \b
    bash: spamfilter completion bash > ~/.local/share/bash-completion/completions/spamfilter
    zsh:  spamfilter completion zsh > ~/.zfunc/_spamfilter   (with ~/.zfunc in fpath, before compinit)
    fish: spamfilter completion fish > ~/.config/fish/completions/spamfilter.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click knows these three"
    name = "spamfilter"  # also where it was called as a module or by a path
    click.echo(found(context.find_root().command, {}, name, f"_{name.upper()}_COMPLETE").source())
