"""A worker for tests that kill it between agents: ``python pipeline_victim.py URL WORKSPACE`` until it is killed.

With ``here`` for the URL it runs the pipeline itself, without a database, and goes on where it was.

What agents do is counted in the file that PIPELINE_LOG names. The first time that one is called which is named in
PIPELINE_DEADLY, as ``agent:round``, the process is killed.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import holdfast as hf
from holdfast.agents.pipelines.agents import Work, agent
from holdfast.agents.pipelines.commands import Command
from holdfast.agents.pipelines.shapes import LoopPipeline, ParallelPipeline, Pipeline, SequentialPipeline
from tests.agents.pipeline_kit import Code, Plan, Review, accepted

LOG, DEADLY = "PIPELINE_LOG", "PIPELINE_DEADLY"


def called(name: str, number: int = 1) -> None:
    """Note that an agent is called, and die if it is time."""
    what = f"{name}:{number}"
    first = noted()[what] == 0
    with open(os.environ[LOG], "a") as file:
        file.write(f"{what}\n")
    if first and what in os.environ.get(DEADLY, "").split():
        os.kill(os.getpid(), signal.SIGKILL)


def noted() -> Counter[str]:
    """How often each was called."""
    path = Path(os.environ[LOG])
    return Counter(path.read_text().split()) if path.exists() else Counter()


def planner(task: str) -> Plan:
    called("planner")
    return Plan(steps=[task])


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    called("writer")
    return ModelResponse([TextPart("some words")])


writer: Agent[None, str] = Agent(FunctionModel(answer, model_name="scripted"), name="writer")

COUNT = """
import json, os, sys
open(os.environ["LOG"], "a").write("tester:1\\n")
print(len(json.load(sys.stdin)["steps"]))
"""

tester = Command([sys.executable, "-c", COUNT], name="tester", env={"LOG": os.environ.get(LOG, "")})


async def coder(given: dict[str, Any], work: Work) -> Code:
    called("coder", work.round)
    return Code(text=json.dumps(given))


async def reviewer(code: Code, work: Work) -> Review:
    called("reviewer", work.round)
    return Review(accepted=work.round == 2, note=code.text)


def pipeline(workspace: str) -> Pipeline:
    """What is served."""
    once = hf.Retry(max_attempts=1)
    loop = LoopPipeline([agent(coder, retry=once), agent(reviewer, retry=once)], until=accepted, name="loop")
    return SequentialPipeline([planner, ParallelPipeline([writer, tester]), loop], name="crew", workspace=workspace)


async def main(url: str, workspace: str) -> None:
    if url == "here":
        print((await pipeline(workspace).run("x", resume=True)).model_dump_json())
        return
    async with hf.Worker(url, [pipeline(workspace).workflow()], lease=1.0, beat=0.2):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
