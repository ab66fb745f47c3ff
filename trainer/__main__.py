"""`python -m trainer`: the whole workflow, a command a step; long steps resume, and a run's folder holds all."""

from trainer.commands import main

if __name__ == "__main__":
    main(prog_name="python -m trainer")
