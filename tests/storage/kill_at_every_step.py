"""Kill a process at each of its steps in the file system."""

import itertools
import os
import signal
import sys

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"}


def kill_at_every_step(work, check, folder):
    """Fork and run `work` until it finishes; the n-th time, kill it (-9) before its n-th step.

    Call it in a process without threads.

    Args:
        work: Function to run.
        check: Function to call, in this process, after each kill.
        folder: Folder whose files count.

    Returns:
        The number of kills.
    """
    for count in itertools.count(1):
        child = os.fork()
        if child == 0:
            _kill_before_step(count, folder)
            work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return count - 1
        assert os.WTERMSIG(status) == signal.SIGKILL
        check()


def _kill_before_step(count, folder):
    remaining = iter(range(count - 1))

    def kill(event, arguments):
        is_step = event in STEPS and str(arguments[0]).startswith(str(folder))
        if is_step and next(remaining, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
