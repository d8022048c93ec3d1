"""Users: `from userkeep.zep.user import CreateUserRequest, UpdateUserRequest, User`."""

from userkeep.zep.user.models import CreateUserRequest, UpdateUserRequest, User

__all__ = ["CreateUserRequest", "UpdateUserRequest", "User"]
