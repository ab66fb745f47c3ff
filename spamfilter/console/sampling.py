"""Lets a pretrained GPT write: one sample at a time, in a process of its own that is given up if it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping

from spamfilter.console.training import TrainingError
from spamfilter.console.training_steps import Workflow

MOST_PROMPT, MOST_TOKENS = 500, 400
SAMPLE_S = 120.0
"""A sample that takes longer is given up."""
_writing = asyncio.Semaphore(1)


def command_for(workflow: Workflow, given: Mapping[str, str]) -> list[str]:
    """The command for a form's `run`, `prompt`, `temperature`, `tokens` and `seed`. Raises TrainingError for others."""
    prompt, run = given.get("prompt", "").replace("\r\n", "\n"), given.get("run", "")
    if len(prompt) > MOST_PROMPT or "\0" in prompt:
        raise TrainingError(f"the beginning has {len(prompt)} characters; {MOST_PROMPT} are possible")
    temperature, tokens, seed = (given.get(key) or "" for key in ("temperature", "tokens", "seed"))
    if not re.fullmatch(r"[0-9](\.[0-9]{1,3})?", temperature, re.ASCII) or float(temperature) > 2:
        raise TrainingError(f"temperature: a number from 0 to 2, not {temperature!r}")
    if not re.fullmatch(r"[0-9]{1,4}", tokens, re.ASCII) or not 1 <= int(tokens) <= MOST_TOKENS:
        raise TrainingError(f"tokens: a whole number from 1 to {MOST_TOKENS}, not {tokens!r}")
    if not re.fullmatch(r"[0-9]{1,9}", seed, re.ASCII):
        raise TrainingError(f"seed: a whole number, not {seed!r}")
    if not (workflow.run(run) / "pretrain" / "final.pt").is_file():
        raise TrainingError(f"the run {run} has no finished pretraining; begin one first")
    return workflow.sample(run, prompt, tokens=int(tokens), temperature=float(temperature), seed=int(seed))


async def written(command: list[str]) -> str:
    """What the command prints. Raises TrainingError."""
    if _writing.locked():
        raise TrainingError("another sample is being written; try again in a moment")
    async with _writing:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "nice", *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        try:
            async with asyncio.timeout(SAMPLE_S):
                out, errors = await process.communicate()
        except TimeoutError:
            raise TrainingError(f"no text within {SAMPLE_S:g} s; ask for fewer tokens") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise TrainingError(f"the trainer could not write: {last.removeprefix('Error: ') or 'it does not say why'}")
    return out.decode("utf-8", "replace")
