"""Who makes a request, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import Forbidden
from holdfast.model.access import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request.

    Attributes:
        actor: a person's id, ``key:PREFIX``, or ``local``; recorded with what they change.
        name: to show.
        tenant: whose data they see.
        role: what they may do there.
        shared: whether they may change what all tenants share, if their role allows it.
        csrf: what forms and requests that change something must bring, when signed in by cookie.
    """

    actor: str
    name: str
    tenant: str
    role: Role
    shared: bool = False
    csrf: str | None = None

    def may(self, role: Role, *, shared: bool = False) -> bool:
        """Whether they may do what this role may; with ``shared``, to what all tenants share."""
        return self.role.includes(role) and (self.shared or not shared)

    def need(self, role: Role, *, shared: bool = False) -> None:
        """Refuse what they may not do.

        Args:
            role: that it takes.
            shared: whether it is about what all tenants share.

        Raises:
            Forbidden: they may not.
        """
        if self.role is not role and not self.role.includes(role):
            raise Forbidden(f"this takes the role {role}, and {self.name} is {self.role} in tenant {self.tenant!r}")
        if shared and not self.shared:
            raise Forbidden(
                f"this changes what all tenants share, which people of tenant {self.tenant!r} may not; "
                "serve.shared_tenants names the tenants that may"
            )

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden from them: those who only look, or do items, do not see redacted fields."""
        return self.role.includes(Role.OPERATOR)
