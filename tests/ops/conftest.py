"""Real workers and a real web service, as operators see them."""

import pytest
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from tests.system.conftest import Gate, StartWorker, gate, start_worker

__all__ = ["Gate", "StartWorker", "gate", "start_worker"]


@pytest.fixture
def token(transactional_db: None) -> str:
    """Of a user who is staff."""
    user = User.objects.create_user("eve", password="a staff pass phrase", is_staff=True)
    return str(Token.objects.create(user=user).key)
