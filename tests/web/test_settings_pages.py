"""Settings: API keys, people, retention, kept searches, the server; who may see and change what."""

import re

import pytest

import holdfast as hf
from holdfast.api.config import WebhookConfig
from tests.web.browsing import Browser, Dashboard, Seen, dashboard

MARKUP = "<b onclick=alert(1)>key</b>"


async def make_key(shown: Dashboard, **fields: str) -> Seen:
    asked = await shown.get((await shown.get("/settings")).link("Make a key"))
    return await shown.browser.send(asked, "Make it", **{"name": "import", **fields})


# Keys


async def test_a_key_is_made_shown_once_used_and_revoked() -> None:
    async with dashboard(auth=True) as shown:
        shown.browser = await shown.somebody("admin")
        made = await make_key(shown, role="operator", expires="90d")
        [key] = re.findall(r"hf_[0-9a-z]{8}_[0-9A-Za-z]{40}", made.text)
        assert made.response.headers["cache-control"] == "no-store"
        assert "as operator" in made.text
        listed = await shown.get("/settings")
        assert key not in listed.html
        assert f"hf_{key[3:11]}_…" in listed.text
        other = Browser(shown.app, {"Authorization": f"Bearer {key}"})
        assert (await other.get("/queues")).has_link("Limit a queue")
        asked = await shown.get(f"/key/revoke?prefix={key[3:11]}")
        done = await shown.browser.send(asked, "Revoke it")
        assert "The key import is revoked." in done.text
        assert "revoked" in done.text
        assert (await other.get("/queues")).status == 401


@pytest.mark.parametrize(
    "fields",
    [{"name": ""}, {"name": "x" * 300}, {"role": "god"}, {"expires": "soon"}, {"expires": "0"}, {"name": "a\nb\0"}],
)
async def test_a_key_that_cannot_be_is_not_made(fields: dict[str, str]) -> None:
    async with dashboard() as shown:
        seen = await make_key(shown, **fields)
        assert seen.status == 422
        assert await shown.client.keys() == []


async def test_keys_are_found_by_prefix_paged_and_shown_as_they_are() -> None:
    async with dashboard() as shown:
        made = [await shown.client.create_key(MARKUP) for _ in range(60)]
        seen = await shown.get("/settings")
        assert MARKUP in seen.text
        assert MARKUP not in seen.html
        assert (await shown.get(seen.link("Next page"))).text.count("_…") == 10
        found = await shown.get(f"/settings?q={made[7].key}")
        assert found.text.count("_…") == 1
        assert made[7].view.prefix in found.text
        assert "No key begins so" in (await shown.get("/settings?q=hf_~")).text


async def test_a_key_that_is_not_there_or_anothers_is_404() -> None:
    async with dashboard(auth=True) as shown:
        theirs = await hf.Client(shown.client.core, "acme").create_key("theirs")
        admin = await shown.somebody("admin")
        for prefix in ("nothing1", "", theirs.view.prefix):
            assert (await admin.get(f"/key/revoke?prefix={prefix}")).status == 404
            assert (await admin.post("/key/revoke", {"prefix": prefix})).status == 404
        assert theirs.view.prefix not in (await admin.get("/settings")).text


# People


async def test_somebody_is_made_known_changed_and_deleted() -> None:
    async with dashboard() as shown:
        assert "Nobody is known yet" in (await shown.get("/settings/people")).text
        asked = await shown.get((await shown.get("/settings/people")).link("Make somebody known"))
        done = await shown.browser.send(
            asked, "Make them known", id="ann", name="Ann <i>", email="ann@example.com", role="operator",
            password="correct horse battery", groups="billing, night", capacity="5", zone="Europe/Berlin",
            away="2026-12-24 to 2026-12-31\n2027-01-05\n", manager="bob",
        )  # fmt: skip
        assert done.path == "/settings/people"
        assert "Ann <i> is made known." in done.text
        assert "Ann <i>" not in done.html
        view = await shown.client.get_user("ann")
        assert (view.email, view.role, view.zone, view.groups) == (
            "ann@example.com", "operator", "Europe/Berlin", ["billing", "night"],
        )  # fmt: skip
        assert [(str(one["from"]), str(one["until"])) for one in view.away] == [
            ("2026-12-24", "2026-12-31"), ("2027-01-05", "2027-01-05"),
        ]  # fmt: skip
        assert await shown.client.check_password("ann", "correct horse battery") is not None
        asked = await shown.get(done.link("Change"))
        assert "correct horse" not in asked.html
        same = await shown.browser.send(asked, "Change them")
        assert same.status == 200
        assert (await shown.client.get_user("ann")).revision == view.revision
        await shown.browser.send(asked, "Change them", no_password="yes", disabled="yes", email="")
        view = await shown.client.get_user("ann")
        assert (view.has_password, view.disabled, view.email) == (False, True, None)
        assert "disabled" in (await shown.get("/settings/people")).text
        asked = await shown.get((await shown.get("/settings/people")).link("Delete"))
        assert "is deleted." in (await shown.browser.send(asked, "Delete them")).text
        assert await shown.client.users() == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": ""}, "Give an id."),
        ({"email": "nobody"}, "email"),
        ({"role": "king"}, "Choose one of these."),
        ({"zone": "Moon/Base"}, "Moon/Base"),
        ({"password": "short"}, "password has 5 characters"),
        ({"away": "tomorrow"}, "“tomorrow” is none"),
        ({"away": "2026-12-31 to 2026-12-24"}, "before it begins"),
        ({"capacity": "-1"}, "Give 0 or more."),
        ({"groups": ",".join(f"g{n}" for n in range(200))}, "at most 100"),
        ({"name": "x" * 250}, "at most 200"),
        ({"id": "a\0"}, "NUL"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_wrong_with_a_person_is_said_and_nobody_is_made(fields: dict[str, str], said: str) -> None:
    async with dashboard() as shown:
        asked = await shown.get("/person/new")
        seen = await shown.browser.send(asked, "Make them known", **{"id": "ann", **fields})
        assert seen.status == 422
        assert said in seen.text
        assert fields.get("password", "~") not in seen.html.replace("password has 5", "")
        assert await shown.client.users() == []


async def test_an_id_that_is_taken_an_address_and_a_change_meanwhile_are_refused() -> None:
    async with dashboard() as shown:
        await shown.client.put_user("ann", email="ann@example.com")
        new = await shown.get("/person/new")
        assert (await shown.browser.send(new, "Make them known", id="ann")).status == 422
        assert (await shown.browser.send(new, "Make them known", id="bob", email="ann@example.com")).status == 422
        asked = await shown.get("/person/change?id=ann")
        await shown.client.put_user("ann", name="Ann")
        assert (await shown.browser.send(asked, "Change them", name="Late")).status == 422
        assert (await shown.client.get_user("ann")).name == "Ann"


async def test_somebody_who_is_not_there_or_anothers_is_404() -> None:
    async with dashboard(auth=True) as shown:
        await hf.Client(shown.client.core, "acme").put_user("theirs", name="Their name")
        admin = await shown.somebody("admin")
        for id in ("nobody", "", "theirs"):
            assert (await admin.get(f"/person/change?id={id}")).status == 404
            assert (await admin.get(f"/person/delete?id={id}")).status == 404
            assert (await admin.post("/person/delete", {"id": id})).status == 404
        assert "Their name" not in (await admin.get("/settings/people")).text
        assert (await hf.Client(shown.client.core, "acme").get_user("theirs")).name == "Their name"


# Retention


async def test_how_long_runs_are_kept_is_set_and_taken_back() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/settings/retention")
        assert "30 d by default" in seen.text
        asked = await shown.get(seen.link("Set a time"))
        done = await shown.browser.send(asked, "Set it", workflow="mail", status="failed", keep="12h")
        assert "12 h" in done.text
        [period] = [one for one in await shown.client.retention() if one.workflow]
        assert (period.workflow, period.status, period.keep_seconds) == ("mail", "failed", 43_200)
        asked = await shown.get(next(one.href for one in done.links if "workflow=mail" in one.href))
        assert dict(asked.form("Set it").values)["status"] == "failed"
        await shown.browser.send(done, "Take back", {"workflow": "mail"})
        assert all(one.default for one in await shown.client.retention())


@pytest.mark.parametrize(
    "fields", [{"keep": ""}, {"keep": "soon"}, {"keep": "1d", "status": "queued"}, {"keep": "-1d"}]
)
async def test_a_time_that_cannot_be_is_refused(fields: dict[str, str]) -> None:
    async with dashboard() as shown:
        asked = await shown.get("/retention/set")
        assert (await shown.browser.send(asked, "Set it", **fields)).status == 422
        assert all(one.default for one in await shown.client.retention())


# Searches, the server, roles


async def test_kept_searches_are_listed_and_forgotten() -> None:
    async with dashboard() as shown:
        assert "You keep no searches yet" in (await shown.get("/settings/searches")).text
        local = hf.Client(shown.client.core, "default", actor="local")
        await local.put_view("runs", "broken", "status:failed")
        seen = await shown.get("/settings/searches")
        assert seen.link("broken") == "/runs?q=status%3Afailed"
        await shown.browser.send(seen, "Forget")
        assert await local.saved_views("runs") == []


async def test_what_the_server_runs_with_has_no_secret_and_nothing_of_others() -> None:
    webhooks = {
        "shop": WebhookConfig(secret="whsec_c2VjcmV0", event="paid"),
        "their": WebhookConfig(secret="whsec_b3RoZXI", event="other-event", tenant="acme"),
    }
    async with dashboard(auth=True, shared_tenants=("default", "hidden-name"), webhooks=webhooks) as shown:
        seen = await (await shown.somebody("admin")).get("/settings/server")
        assert hf.__version__ in seen.text
        assert "event paid" in seen.text
        assert "other-event" not in seen.text
        assert "whsec" not in seen.html
        assert "hidden-name" in seen.text
        theirs = await (await shown.somebody("admin", "acme")).get("/settings/server")
        assert "hidden-name" not in theirs.text
        assert "other-event" in theirs.text
        viewer = await (await shown.somebody("viewer")).get("/settings/server")
        assert "hidden-name" not in viewer.text


async def test_the_password_of_a_database_is_shown_to_nobody(postgres_database: str) -> None:
    host = "user:hunter2@" if "@" not in postgres_database else ""
    url = postgres_database.replace("postgresql://", f"postgresql://{host}", 1)
    async with dashboard(postgres_database) as shown:
        shown.server.url = url.replace("://", "://user:hunter2@", 1) if "hunter2" not in url else url
        seen = await shown.get("/settings/server")
        assert seen.status == 200
        assert "hunter2" not in seen.html
        assert "postgresql" in seen.text


ADMINS = (
    "/settings?q=x",
    "/key/new",
    "/key/revoke?prefix=x",
    "/person/new",
    "/person/change?id=x",
    "/person/delete?id=x",
)
CHANGES = ("/key/new", "/key/revoke", "/person/put", "/person/delete", "/retention/set")


@pytest.mark.parametrize("role", ["viewer", "worker-of-items", "operator"])
async def test_others_than_admins_change_neither_keys_nor_people(role: str) -> None:
    async with dashboard(auth=True, shared_tenants=()) as shown:
        who = await shown.somebody(role)
        for path in ADMINS[1:]:
            assert (await who.get(path)).status == 403, path
        for path in CHANGES:
            seen = await who.post(path, {"name": "x", "prefix": "x", "id": "x", "keep": "1d", "status": ""})
            assert seen.status == 403, path
        first = await who.get("/settings")
        assert first.status == 200
        assert not first.has_link("API keys")
        assert first.has_link("People") == (role == "operator")
        assert (await who.get("/settings/people")).status == (200 if role == "operator" else 403)
        assert not first.has_link("Set a time")
        assert [one.name for one in await shown.client.keys()] == [f"a {role}"]
        assert await shown.client.users() == []


# Sign-in by cookie: forms need the session's token


async def test_somebody_signed_in_changes_things_by_their_own_forms_only() -> None:
    async with dashboard(auth=True) as shown:
        await shown.client.put_user("ann", name="Ann", role="admin", password="correct horse battery")
        ann = Browser(shown.app)
        asked = await ann.get("/settings")
        assert asked.status == 401
        inside = await ann.send(asked, "Sign in", name="ann", tenant="default", password="correct horse battery")
        assert inside.status == 200, inside.text
        form = await ann.get("/key/new")
        assert len(dict(form.form("Make it").values)["csrf"]) > 20
        for wrong in ("", "x" * 43):
            seen = await ann.send(form, "Make it", name="stolen", csrf=wrong)
            assert seen.status == 403
        assert await shown.client.keys() == []
        assert "shown this once" in (await ann.send(form, "Make it", name="mine")).text
        [key] = await shown.client.keys()
        assert (key.name, key.created_by) == ("mine", "ann")
        own = await ann.get("/person/change?id=ann")
        refused = await ann.send(own, "Change them", role="viewer")
        assert "You cannot take your own role" in refused.text
        assert (await shown.client.get_user("ann")).role == "admin"
        gone = await ann.send(await ann.get("/person/delete?id=ann"), "Delete them")
        assert "You cannot delete yourself" in gone.text
