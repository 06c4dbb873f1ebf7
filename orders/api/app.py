"""The JSON API, put together: its parts, its schema, and what it answers where something is refused."""

from __future__ import annotations

import functools
from typing import Any, NoReturn

from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from orders.api import acting, reading, signals
from orders.api.problems import CONTENT_TYPE, Problem, of_status, outage
from orders.api.schemas import ProblemOut
from orders.desk import DeskNotWired
from orders.execution import OtherMode
from risk.control import ControlChanged, LooseningRefused

ABOUT = (
    "What the back office does, for programs: the same use cases, permissions and traces. Send a token in the header "
    "`Authorization: Bearer oex_…`; an administrator makes them at People → API tokens. Money is a string of INR, a "
    "time is ISO 8601 with its offset, an error is `application/problem+json` with a `code`."
)
# What any operation may answer, beside what it names itself.
PROBLEMS = {
    400: "The request cannot be read.",
    401: "No token that opens anything.",
    403: "The token has not the scope, or its owner not the permission.",
    411: "The body came in pieces, without a length.",
    413: "The body is too large.",
    422: "Something of what was sent is not as it must be; `errors` says what.",
    429: "Too many requests; `Retry-After` says in how many seconds there is room.",
    500: "A defect of ours.",
    503: "The database or the desk's broker is not there; nothing was done, or it is not known.",
}
OF_ONE = {404: "There is none of that id."}
REFUSES = {409: "It was refused as things are; `code` and `detail` say why."}


class DeskAPI(NinjaAPI):
    """Says in its schema which problems there are, and which scope and permission each operation wants."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the schema, built once in a process: it takes long, and whoever asks for it shows no token."""
        root = self.get_root_path(path_params or {}) if path_prefix is None else path_prefix
        return self._built(root)

    @functools.lru_cache(maxsize=2)  # noqa: B019  # there is one API in a process
    def _built(self, root: str) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=root)
        problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"].update(problem.pop("$defs"), ProblemOut=problem)
        told = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
        wants = self._wanted()
        for path, methods in schema["paths"].items():
            for method, operation in methods.items():
                also = {**PROBLEMS, **(OF_ONE if "{" in path else {}), **(REFUSES if method == "post" else {})}
                for status, words in also.items():
                    operation["responses"][status] = {"description": words, "content": told}
                answers = operation["responses"]
                operation["responses"] = {str(status): answers[status] for status in sorted(answers)}
                auth = wants[operation["operationId"]]
                operation["x-scopes"], operation["x-permission"] = list(auth.scopes), auth.permission
        return schema

    def _wanted(self) -> dict[str, Any]:
        """Return what each operation asks of a token."""
        return {
            operation.view_func.__name__: operation.auth_callbacks[0]
            for router in self._get_bound_routers()
            for view in router.path_operations.values()
            for operation in view.operations
        }

    def get_openapi_operation_id(self, operation: Any) -> str:
        return str(operation.view_func.__name__)


api = DeskAPI(
    title="Order Executor",
    version="1",
    description=ABOUT,
    urls_namespace="api",
    docs_url=None,
    openapi_url="/openapi.json",
)
for part in (signals.router, reading.router, acting.router):
    api.add_router("", part)


@api.exception_handler(Problem)
def _told(request: HttpRequest, problem: Problem) -> HttpResponse:
    return problem.answer(request)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, invalid: ValidationError) -> HttpResponse:
    errors = [
        {"field": ".".join(str(part) for part in each["loc"][1:]) or str(each["loc"][0]), "detail": each["msg"]}
        for each in invalid.errors
    ]
    told = "; ".join(f"{each['field']}: {each['detail']}" for each in errors)[:1000]
    return Problem(422, "invalid", told, errors=errors).answer(request)


@api.exception_handler(ControlChanged)
def _changed(request: HttpRequest, refusal: ControlChanged) -> HttpResponse:
    return Problem(409, "control-changed", str(refusal), control="TRADING_CONTROL").answer(request)


@api.exception_handler(LooseningRefused)
def _refused(request: HttpRequest, refusal: LooseningRefused) -> HttpResponse:
    return Problem(409, "loosening-refused", str(refusal), control="TRADING_CONTROL").answer(request)


@api.exception_handler(OtherMode)
def _other_mode(request: HttpRequest, refusal: OtherMode) -> HttpResponse:
    return Problem(409, "other-mode", str(refusal)).answer(request)


@api.exception_handler(DeskNotWired)
def _not_wired(request: HttpRequest, trouble: DeskNotWired) -> HttpResponse:
    return Problem(503, "desk-not-wired", str(trouble)).answer(request)


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _outage(request: HttpRequest, trouble: Exception) -> HttpResponse:
    return outage().answer(request)


@api.exception_handler(Http404)
def _nowhere(request: HttpRequest, nowhere: Http404) -> HttpResponse:
    return of_status(404).answer(request)


@api.exception_handler(AuthenticationError)
@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return of_status(error.status_code).answer(request)


@api.exception_handler(Exception)
def _defect(request: HttpRequest, defect: Exception) -> NoReturn:
    raise defect  # Django's own way: the log has the traceback, the edge makes a problem of the answer
