"""Users: `from recollect.zep.user import CreateUserRequest, UpdateUserRequest, User`."""

from recollect.zep.user.models import CreateUserRequest, UpdateUserRequest, User

__all__ = ["CreateUserRequest", "UpdateUserRequest", "User"]
