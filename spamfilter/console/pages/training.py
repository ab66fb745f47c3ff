"""The training page: begin a training, watch it learn, stop it, and let a pretrained GPT write."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import BundleError
from spamfilter.config import Config
from spamfilter.console.aside import aside
from spamfilter.console.page import audited, form, needs, page, problem, see_other, services, user, wants_json
from spamfilter.console.sampling import MOST_PROMPT, MOST_TOKENS, command_for, written
from spamfilter.console.security.roles import Role
from spamfilter.console.services import Services
from spamfilter.console.training import Training, TrainingError
from spamfilter.console.training_runs import (
    METRICS,
    complaint_in,
    curves,
    metrics,
    outcome_in,
    progress_of_log,
    progress_of_run,
    run_folders,
)
from spamfilter.console.training_steps import STRATEGIES, Step, Workflow, retrain
from spamfilter.retrainings import outcomes, said_since
from spamfilter.store.statistics import Statistics

_OUTCOMES_SHOWN = 8


@needs(Role.ADMIN)
async def index(request: Request) -> Response:
    """What runs, what can be begun, the runs that are there, and how the last retrainings ended."""
    config, workflow = services(request).config, _workflow(request)
    return page(
        request, "training.html",
        **await aside(_live, config),
        **await aside(_around, services(request), workflow),
        sample=None,
    )  # fmt: skip


@needs(Role.ADMIN)
async def live(request: Request) -> Response:
    """The part of the page that changes while a training runs."""
    return page(request, "training_live.html", **await aside(_live, services(request).config))


@needs(Role.ADMIN)
async def begin_retraining(request: Request) -> Response:
    """Retrain the model in service on what people corrected."""
    config = services(request).config
    dry_run = (await form(request)).get("dry_run") == "on"
    return await _begin(request, lambda: retrain(config, dry_run=dry_run))


@needs(Role.ADMIN)
async def begin_step(request: Request) -> Response:
    """One step of the trainer's workflow, in a run's folder."""
    workflow, given = _workflow(request), await form(request)
    run, step = given.get("run", ""), given.get("step", "")

    def chosen() -> Step:
        if step == "pretrain":
            return workflow.pretrain(run, given.get("tokens_m", ""))
        if step == "finetune":
            return workflow.finetune(run, given.get("strategy", ""))
        if step in ("distil", "export"):
            return workflow.distil(run) if step == "distil" else workflow.export(run)
        raise TrainingError(f"{step!r} is no step; choose pretrain, distil, finetune or export")

    return await _begin(request, chosen)


@needs(Role.ADMIN)
async def stop(request: Request) -> Response:
    """Stop what runs."""
    training = _training(services(request).config.state_dir)
    try:
        job = await aside(training.stop, user(request).name)
    except TrainingError as error:
        return problem(request, 409, str(error))
    await audited(request, "training.stop", job.step)
    return see_other("/training")


@needs(Role.ADMIN)
async def show_run(request: Request) -> Response:
    """The curves of one step of a run."""
    workflow, step = _workflow(request), request.path_params["step"]
    try:
        folder = workflow.run(request.path_params["run"]) / workflow.run(step).name
    except TrainingError as error:
        return problem(request, 404, str(error))
    if not (folder / METRICS).is_file():
        return problem(request, 404, f"The run {folder.parent.name} has no step {step} that left metrics.")
    found = await aside(metrics, folder)
    return page(request, "training_run.html", run=folder.parent.name, step=step, curves=curves(found, step),
                last=found[-1] if found else {})  # fmt: skip


@needs(Role.ADMIN)
async def install(request: Request) -> Response:
    """Take the bundle that a run exported into the registry; it does not serve by that."""
    config, given = services(request).config, await form(request)
    try:
        folder = _workflow(request).run(given.get("run", "")) / "bundle"
        name = await aside(Bundles(config.state_dir.absolute()).install, folder)
    except (TrainingError, BundleError) as error:
        return problem(request, 409, str(error))
    await audited(request, "model.install", name)
    return see_other(f"/models/of/{name}")


@needs(Role.ADMIN)
async def sample(request: Request) -> Response:
    """What the pretrained base of a run makes of the beginning of a text; one at a time."""
    given = await form(request)
    try:
        text = await written(command_for(_workflow(request), given))
    except TrainingError as error:
        return problem(request, 409, str(error))
    if wants_json(request):
        return JSONResponse({"text": text})
    config = services(request).config
    around = await aside(_around, services(request), _workflow(request))
    return page(request, "training.html", **await aside(_live, config), **around, sample=text)


async def _begin(request: Request, step: Callable[[], Step]) -> Response:
    training = _training(services(request).config.state_dir)
    try:
        chosen = step()
        await aside(
            training.start, chosen.name, chosen.command, by=user(request).name, folder=chosen.folder,
            environ=chosen.environ,
        )  # fmt: skip
    except TrainingError as error:
        return problem(request, 409, str(error))
    await audited(request, "training.start", chosen.name)
    return see_other("/training")


@cache
def _training(state_dir: Path) -> Training:
    """One for each folder: it is the parent of what it started."""
    return Training(state_dir)


def _workflow(request: Request) -> Workflow:
    config, settings = services(request).config, services(request).settings
    return Workflow(config.path(settings.runs), Path(settings.data) if settings.data else None)


def _live(config: Config) -> dict[str, Any]:
    training = _training(config.state_dir)
    job, log = training.current(), training.tail()
    folder = Path(job.folder) if job is not None and job.folder else None
    found = [] if folder is None else metrics(folder)
    return {
        "job": job,
        "log": log,
        "outcome": outcome_in(log),
        "complaint": complaint_in(log),
        "progress": progress_of_log(log) if folder is None else progress_of_run(folder, found),
        "curves": curves(found, "" if job is None else job.step),
    }


def _around(behind: Services, workflow: Workflow) -> dict[str, Any]:
    config = behind.config
    ended = outcomes(config.state_dir.absolute())
    with Statistics(behind.database) as statistics:
        new = said_since(statistics, ended[0] if ended else None)
    return {
        "new": new,
        "worth_from": config.retrain.least_new,
        "outcomes": ended[:_OUTCOMES_SHOWN],
        "missing": workflow.missing,
        "runs_folder": workflow.runs.absolute(),
        "runs": run_folders(workflow.runs),
        "strategies": STRATEGIES,
        "most_prompt": MOST_PROMPT,
        "most_tokens": MOST_TOKENS,
    }


routes = [
    Route("/training", index),
    Route("/training/live", live),
    Route("/training/retrain", begin_retraining, methods=["POST"]),
    Route("/training/step", begin_step, methods=["POST"]),
    Route("/training/stop", stop, methods=["POST"]),
    Route("/training/install", install, methods=["POST"]),
    Route("/training/sample", sample, methods=["POST"]),
    Route("/training/runs/{run}/{step}", show_run),
]
