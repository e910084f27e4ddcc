# SPDX-License-Identifier: GPL-2.0-or-later
"""What test_state.py tries, of guests whose local APICs are not in the kernel."""
import pytest

from test_state import boot
from test_state import test_guest_when_saved_on_kvm_and_soft_in_turns_expect_it_ends_well  # noqa: F401
from test_state import test_state_when_saved_again_expect_the_same  # noqa: F401


@pytest.fixture(scope="module", params=["off"])
def level(request):
    return boot(request.param)
