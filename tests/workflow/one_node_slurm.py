"""Run a SLURM cluster of one node, from Debian's packages, with its own folder, key and ports."""

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time

PACKAGES = "slurmctld slurmd slurm-client munge"

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")

_SECONDS_TO_START = 30

_CONFIGURATION = """\
ClusterName=own
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MinJobAge=86400
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=own Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Return the programs that are not installed, also outside of a user's PATH."""
    return [name for name in _PROGRAMS if _find(name) is None]


@contextlib.contextmanager
def running(folder):
    """Run a cluster whose configuration, key, state and logs are in `folder`.

    Yields:
        The environment for `sbatch` and the other clients.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # clients need access to munge's socket
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(folder))
    environment = {
        **os.environ,
        "SLURM_CONF": str(configuration),
        "PATH": f"{_write_srun(folder, configuration)}:{os.environ['PATH']}",
    }
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    munged = ["munged", "--foreground", "--force", f"--key-file={key}"]
    munged += [f"--{name}={folder}/munge.{name}" for name in ("socket", "pid-file", "seed-file")]
    with contextlib.ExitStack() as daemons:
        for command in (munged, ["slurmctld", "-D", "-c"], ["slurmd", "-D"]):
            daemons.enter_context(_daemon(command, folder, environment))
            if command is munged:
                _wait_until(lambda: (folder / "munge.socket").exists(), folder)
        show_nodes = ["sinfo", "--noheader", "--format=%t"]
        _wait_until(lambda: "idle" in _output(show_nodes, environment), folder)
        try:
            yield environment
        finally:
            subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=environment, check=False)
            _wait_until(lambda: not _output(["squeue", "--noheader"], environment), folder)


def _write_srun(folder, configuration):
    """Return a folder with an `srun` that sets SLURM_CONF, which Snakemake's plugin drops."""
    programs = folder / "bin"
    programs.mkdir()
    srun = programs / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {_find("srun")} "$@"\n')
    srun.chmod(0o755)
    return programs


def _configuration(folder):
    return _CONFIGURATION.format(
        folder=folder,
        host=socket.gethostname().split(".")[0],
        user=getpass.getuser(),
        controller_port=_free_port(),
        node_port=_free_port(),
        cpus=os.cpu_count(),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 - 1,
    )


@contextlib.contextmanager
def _daemon(command, folder, environment):
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [_find(command[0]), *command[1:]],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _find(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_port():
    with socket.socket() as any_free:
        any_free.bind(("127.0.0.1", 0))
        return any_free.getsockname()[1]


def _output(command, environment):
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return finished.stdout


def _wait_until(is_met, folder):
    end = time.monotonic() + _SECONDS_TO_START
    while not is_met():
        if time.monotonic() > end:
            logs = [path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log")]
            raise TimeoutError("SLURM does not start or end:\n" + "\n".join(logs))
        time.sleep(0.2)
