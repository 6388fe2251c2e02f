"""docs/processes.md: its command lines are understood by what they are given to, and its manifest and its script by
theirs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from attndsl.cli import train as verb
from attndsl.cli.arguments import Parser

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "processes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```([\w ]+)\n(.*?)^```$", PAGE, re.M | re.S)


def lines() -> list[list[str]]:
    """The command lines of the page, as words."""
    found = [line for _, text in BLOCKS for line in text.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in found if re.match(r"(srun )?(torchrun|attndsl) ", line)]


def require_training(words: list[str]) -> None:
    parser = Parser("attndsl train")
    verb.configure(parser)
    parser.parse_strictly(words)


def test_attndsl_understands_its_command_lines() -> None:
    own = [words[2:] for words in lines() if words[0] == "attndsl"]
    assert len(own) == 4
    for words in own:
        require_training(words)


@pytest.mark.torch
def test_torchrun_understands_its_command_lines() -> None:
    run = pytest.importorskip("torch.distributed.run")
    launched = [words[words.index("torchrun") + 1 :] for words in lines() if "torchrun" in words]
    assert len(launched) == 3
    for words in launched:
        told = run.get_args_parser().parse_args([word.replace("$SLURM_NNODES", "4") for word in words])
        assert (told.module, told.training_script, told.training_script_args[0]) == (True, "attndsl", "train")
        if "${what[@]}" not in told.training_script_args:
            require_training(told.training_script_args[1:])


def require_resuming(script: str, folder: Path) -> None:
    """That a script gives torchrun what begins a run, and what goes on with it once it is there."""
    commands = {"scontrol": "echo machine-0", "srun": '"$@"', "torchrun": 'printf "%s\\n" "$@"'}
    for name, does in commands.items():
        command = folder / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{does}\n")
        command.chmod(0o755)
    told = dict.fromkeys(("SLURM_NNODES", "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_CPUS_PER_TASK"), "4")
    environment = told | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    for option in ("--out", "--resume"):
        words = ["bash", "-euc", script.replace("/shared/", f"{folder}/")]
        given = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        training = given[given.index("train") + 1 :]
        assert option in training
        require_training(training)
        (folder / "runs" / "book").mkdir(parents=True, exist_ok=True)
        (folder / "runs" / "book" / "run.json").touch()


def test_the_script_begins_a_run_and_resumes_it(tmp_path: Path) -> None:
    (script,) = (text for kind, text in BLOCKS if kind == "text slurm")
    require_resuming(script, tmp_path)


@pytest.mark.torch
def test_the_manifest_is_a_job_of_pytorch(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    (text,) = (text for kind, text in BLOCKS if kind == "text yaml")
    job = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    worker, policy = job["spec"]["pytorchReplicaSpecs"]["Worker"], job["spec"]["elasticPolicy"]
    assert worker["replicas"] == policy["minReplicas"] == policy["maxReplicas"]
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "pytorch"  # the operator looks for it
    assert container["resources"]["limits"]["nvidia.com/gpu"] == int(job["spec"]["nprocPerNode"])
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert container["command"] == ["bash", "-c"]
    require_resuming(*container["args"], tmp_path)
