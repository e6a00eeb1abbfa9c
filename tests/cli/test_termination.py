"""SIGTERM ends what a command is doing, once and whatever it is at."""

import subprocess
import sys
from textwrap import dedent

HEAD = """
import os, signal, time
from ray_matdesign.cli.termination import Terminated, Termination

def terminate():
    os.kill(os.getpid(), signal.SIGTERM)

"""


def outcome(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own: signals and timers are not the tests' to share."""
    return subprocess.run(
        [sys.executable, "-c", HEAD + dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_raised_where_the_process_is() -> None:
    done = outcome(
        """
        with Termination() as termination:
            try:
                print(termination.came)
                terminate()
                print("heedless")
            except Terminated:
                print(termination.came)
        """
    )
    assert (done.returncode, done.stdout) == (0, "False\nTrue\n"), done.stderr


def test_one_lost_in_a_destructor_comes_again() -> None:
    done = outcome(
        """
        class Deaf:
            def __del__(self):
                terminate()

        with Termination():
            try:
                Deaf()
                print("going on")
                time.sleep(50.0)
            except Terminated:
                print("stopped")
        """
    )
    assert (done.returncode, done.stdout) == (0, "going on\nstopped\n"), done.stderr
    assert "Exception ignored" in done.stderr  # as Python says of what it cannot pass on


def test_nothing_disturbs_the_saving_that_one_sets_off() -> None:
    done = outcome(
        """
        def save():
            terminate()
            time.sleep(2.5)  # the time in which a lost one would have come again, twice

        with Termination():
            try:
                try:
                    terminate()
                finally:
                    save()
                    print("saved")
            except KeyboardInterrupt:
                try:
                    raise OSError("disk full")  # what goes wrong meanwhile is no end to it
                except OSError:
                    save()
                    print("saved elsewhere")
        """
    )
    assert (done.returncode, done.stdout) == (0, "saved\nsaved elsewhere\n"), done.stderr


def test_the_process_is_left_as_it_was_found() -> None:
    done = outcome(
        """
        def chime(number, frame):
            print("chime", flush=True)

        signal.signal(signal.SIGALRM, chime)
        with Termination():
            try:
                terminate()
            except Terminated:
                pass
        time.sleep(1.5)
        signal.raise_signal(signal.SIGALRM)
        terminate()
        """
    )
    assert done.returncode == -15
    assert done.stdout == "chime\n"
