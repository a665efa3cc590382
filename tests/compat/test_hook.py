"""`import caffe2` through the import hook, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
    import serverquant.compat as compat
    compat.install()
    compat.install()
    import numpy as np
    from caffe2.python import brew, core, model_helper, utils, workspace
    from caffe2.proto import caffe2_pb2
    import caffe2.python.core
    import serverquant.workspace

    assert caffe2.python.core is core
    assert caffe2_pb2.CPU == 0
    workspace.GlobalInit(["caffe2", "--caffe2_log_level=0"])
    model = model_helper.ModelHelper("m")
    brew.relu(model, brew.fc(model, "x", "fc", 3, 2), "y")
    workspace.FeedBlob("x", np.ones((1, 3), np.float32))
    assert workspace.RunNetOnce(model.param_init_net) and workspace.RunNetOnce(model.net)
    assert workspace.FetchBlob("y").shape == (1, 2)
    assert serverquant.workspace.HasBlob("y")
    print(utils.ArgsToDict([utils.MakeArgument("a", [1, 2])]))
    try:
        from caffe2.python import no_such_module
    except ImportError:
        print("as it should be")
"""


def run(*arguments: str, cwd=None) -> subprocess.CompletedProcess:
    """In any folder: the tree's own package, whether it is installed or not."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment)


def test_a_program_runs_after_install():
    done = run("-c", textwrap.dedent(PROGRAM))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["{'a': [1, 2]}", "as it should be"]


def test_nothing_is_called_caffe2_before():
    done = run("-c", "import serverquant.workspace, sys; assert 'caffe2' not in sys.modules; import caffe2")
    assert "ModuleNotFoundError" in done.stderr


def test_a_whole_program(tmp_path):
    (tmp_path / "program.py").write_text("import sys\nfrom caffe2.python import core\nprint(core.__name__, sys.argv)\n")
    for command in (["program.py", "a"], ["-m", "program", "a"]):
        done = run("-m", "serverquant.compat", *command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("serverquant.compat.caffe2.python.core")
        assert "'a']" in done.stdout


def test_exit_status_is_that_of_the_program():
    assert run("-m", "serverquant.compat", "-c", "import sys; sys.exit(3)").returncode == 3


def test_a_caffe2_that_is_there_already_is_an_error():
    done = run(
        "-c",
        "import sys, types; sys.modules['caffe2'] = types.ModuleType('caffe2')\n"
        "import serverquant.compat; serverquant.compat.install()",
    )
    assert "has been imported already" in done.stderr
