"""What the system refuses is told."""

from __future__ import annotations

import errno
import os

import pytest

from attndsl.diagnostics import AttnError
from attndsl.storage.refusals import file_errors


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_the_system_says_no(number: int) -> None:
    with pytest.raises(AttnError) as problem, file_errors("write", "a/b"):
        raise OSError(number, os.strerror(number))
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0705"
    assert diagnostic.message == f"cannot write `a/b`: {os.strerror(number)}"
    assert diagnostic.helps
