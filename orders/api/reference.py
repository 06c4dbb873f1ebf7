"""The reference of the JSON API, for staff: its own schema as a page, without a script from elsewhere."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from orders.api.app import api
from orders.api_tokens import SCOPES

METHODS = ("get", "post")


def show(request: HttpRequest) -> HttpResponse:
    schema = api.get_openapi_schema()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "JSON API",
        "address": request.build_absolute_uri("/api/v1/"),
        "groups": _groups(schema),
        "scopes": [
            {"name": name, "words": scope.words, "permission": scope.permission} for name, scope in SCOPES.items()
        ],
        "may_make_tokens": request.user.has_perm("orders.manage_apitoken"),
    }
    return TemplateResponse(request, "desk/api_reference.html", context)


def _groups(schema: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the operations by what they are about, in the order in which they were written."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                groups.setdefault(operation["tags"][0], []).append(_told(schema, path, method, operation))
    return list(groups.items())


def _told(schema: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    answers = {status: answer for status, answer in operation["responses"].items() if status < "300"}
    said = next(iter(answers.values()))["content"]["application/json"]["schema"]
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "words": operation.get("description", ""),
        "scopes": " or ".join(operation["x-scopes"]),
        "permission": operation["x-permission"],
        "asks": [_parameter(schema, each) for each in operation["parameters"]],
        "body": _fields(schema, content.get("schema", {})),
        "says": _fields(schema, said),
        "statuses": [(status, answer["description"]) for status, answer in operation["responses"].items()],
    }


def _parameter(schema: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    where = "in the address" if told["in"] == "path" else "in the query"
    return {
        "name": told["name"],
        "kind": _kind(schema, told["schema"]),
        "needed": told["required"],
        "words": _words(told["schema"]) or where,
    }


def _fields(schema: dict[str, Any], shape: dict[str, Any]) -> list[dict[str, Any]]:
    shape = _resolved(schema, shape)
    needed = shape.get("required", ())
    return [
        {"name": name, "kind": _kind(schema, each), "needed": name in needed, "words": _words(each)}
        for name, each in shape.get("properties", {}).items()
    ]


def _resolved(schema: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    name = shape.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema["components"]["schemas"][name] if name else shape
    return found


def _words(shape: dict[str, Any]) -> str:
    told = [shape, *shape.get("anyOf", ())]
    return next((each["description"] for each in told if "description" in each), "")


def _kind(schema: dict[str, Any], shape: dict[str, Any]) -> str:
    """Return in a word or two what a value is, or which ones there are."""
    known = _resolved(schema, shape)
    if "enum" in known:
        return ", ".join(map(str, known["enum"]))
    if "anyOf" in known:
        kinds = dict.fromkeys(_kind(schema, each) for each in known["anyOf"])
        return " or ".join(kind for kind in kinds if kind != "null") + (" or null" if "null" in kinds else "")
    if "items" in known:
        return f"list of {_kind(schema, known['items'])}"
    if "$ref" in shape:
        return str(shape["$ref"].rpartition("/")[2]).removesuffix("Out").lower()
    return str(known.get("format") or known.get("type") or "any")
