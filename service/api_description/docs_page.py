"""The page `/docs`: the description for people, made of the two documents. It needs no JavaScript.

Its script only copies, and tries requests out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from common.strict_json import to_json
from service.api_description.asyncapi import asyncapi
from service.api_description.json_schema import Schema
from service.api_description.openapi import openapi, operations
from service.api_description.operation import Operation
from service.api_description.schema_rows import Resolver, Row
from service.page.files import page_files
from service.settings import Settings

ORIGIN = "http://127.0.0.1:8000"
"""In lines of curl; the script puts the server's own in its place."""
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^\]]+)\]\((/[\w./]+)\)")


def docs_page(settings: Settings) -> str:
    """Return the page."""
    document, stream = openapi(settings), asyncapi(settings)
    by_id = {each.id: each for each in operations(settings)}
    tags = [(tag["name"], tag["description"]) for tag in document["tags"]]
    routes = Routes(document, by_id)
    sections = "".join(routes.section(name, text) for name, text in tags)
    files = page_files()
    contents = "".join(routes.contents(name) for name, _ in tags)
    return TEMPLATE.format(
        version=files.version,
        about=marked(document["info"]["description"]),
        contents=contents + stream_contents(stream),
        sections=sections + stream_section(stream),
        key="" if settings.keys else " hidden",
    )


def marked(text: str) -> str:
    """Return a text of a description as HTML: its code and its links."""
    coded = CODE.sub(r"<code>\1</code>", html.escape(text, quote=False))
    return LINK.sub(r'<a href="\2">\1</a>', coded)


def sentence(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def table(head: Iterable[str], rows: Iterable[Iterable[str]], *, caption: str) -> str:
    """Return a table of HTML cells."""
    heads = "".join(f'<th scope="col">{each}</th>' for each in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def field_table(
    rows: Iterable[Row], *, caption: str, places: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the table of fields or parameters. places: where a parameter is sent, by name."""
    cells = [
        (
            f"<code>{html.escape(row.name)}</code>"
            + (f" <small>{places[row.name]}</small>" if row.name in places else "")
            + (' <span class="must">required</span>' if row.required else ""),
            html.escape(row.type)
            + (f"; default <code>{html.escape(row.default)}</code>" if row.default else ""),
            marked(row.meaning),
        )
        for row in rows
    ]
    return table(("name", "type", "meaning"), cells, caption=caption) if cells else ""


def example(value: Any, *, label: str) -> str:
    """Return an example as text that can be copied."""
    text = value if isinstance(value, str) else to_json(value, indent=1, ensure_ascii=False)
    return copied(_compact(text), label=label)


def copied(text: str, *, label: str) -> str:
    """Return text with a button that copies it."""
    return (
        f'<div class="copied"><pre tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f"<code>{html.escape(text)}</code></pre>"
        f'<button type="button" class="copy" hidden aria-label="Copy: {html.escape(label)}">Copy'
        "</button></div>"
    )


def _compact(text: str) -> str:
    """Put lists of numbers and short objects on one line."""
    return re.sub(
        r"[\[{]\s+([^\[\]{}]{1,90}?)\s+[\]}]",
        lambda found: re.sub(r"\s*\n\s*", " ", found[0]),
        text,
    )


class Routes:
    """The routes of a document as HTML."""

    def __init__(self, document: Schema, by_id: dict[str, Operation]) -> None:
        self._document, self._by_id = document, by_id
        self._resolver = Resolver(document)

    def _of(self, tag: str) -> list[tuple[str, str, Schema, list[Schema]]]:
        """Return the operations of a tag: path, method, operation, parameters of the path."""
        return [
            (path, method, operation, item["parameters"])
            for path, item in self._document["paths"].items()
            for method, operation in item.items()
            if method != "parameters" and tag in operation["tags"]
        ]

    def contents(self, tag: str) -> str:
        """Return the entries of a tag in the table of contents."""
        links = "".join(
            f'<li><a href="#{operation["operationId"]}">{method_mark(method)} '
            f"<span>{shown_path(path)}</span></a></li>"
            for path, method, operation, _ in self._of(tag)
        )
        return f'<h2><a href="#{tag.lower()}">{tag}</a></h2><ul>{links}</ul>'

    def section(self, tag: str, text: str) -> str:
        """Return the section of a tag."""
        body = "".join(self._operation(*each) for each in self._of(tag))
        head = f'<h2 id="{tag.lower()}">{tag}</h2><p class="lead">{marked(text)}</p>'
        return f"<section>{head}{body}</section>"

    def _operation(self, path: str, method: str, operation: Schema, shared: list[Schema]) -> str:
        # What every route takes stands at the top.
        parameters = [each for each in shared if "$ref" not in each]
        parameters += operation.get("parameters", [])
        id_ = operation["operationId"]
        summary = (
            f"<summary><h3>{method_mark(method)} <code>{shown_path(path)}</code></h3>"
            f"<span>{html.escape(operation['summary'])}</span></summary>"
        )
        parts = (
            f"<p>{marked(operation.get('description', ''))}</p>",
            self._curl(path, operation, parameters),
            self._try(path, method, operation, parameters),
            self._parameters(parameters, id_),
            self._body(operation),
            self._responses(operation),
        )
        return f'<details class="route" id="{id_}">{summary}{"".join(parts)}</details>'

    def _parameters(self, parameters: list[Schema], id_: str) -> str:
        rows = [
            self._resolver.row(
                each["name"],
                each["schema"] | {"description": each["description"]},
                required=each.get("required", False),
            )
            for each in parameters
        ]
        if not rows:
            return ""
        places = {each["name"]: each["in"] for each in parameters}
        return "<h4>Parameters</h4>" + field_table(
            rows, caption=f"Parameters of {id_}", places=places
        )

    def _body(self, operation: Schema) -> str:
        body = operation.get("requestBody")
        if not body:
            return ""
        parts = ["<h4>Body</h4>"]
        for media_type, media in body["content"].items():
            kind = self._resolver.words(media["schema"])
            parts.append(f"<p><code>{media_type}</code>: {html.escape(kind)}</p>")
            caption = f"{media_type} of {operation['operationId']}"
            parts.append(field_table(self._resolver.rows(media["schema"]), caption=caption))
            parts += [
                example(each["value"], label=f"example of {caption}")
                for each in media.get("examples", {}).values()
            ]
        return "".join(parts)

    def _responses(self, operation: Schema) -> str:
        errors, parts = [], ["<h4>Responses</h4>"]
        for status, reference in operation["responses"].items():
            response = self._resolver.resolve(reference)
            if int(status) >= 400:
                lines = response["description"].split("\n")
                text = "<br>".join(marked(line.removeprefix("- ")) for line in lines)
                errors.append((status, text))
                continue
            parts.append(f"<p><b>{status}</b> {marked(response['description'])}</p>")
            parts += [
                self._content(media_type, media, operation["operationId"])
                for media_type, media in response.get("content", {}).items()
            ]
        caption = f"Errors of {operation['operationId']}"
        errors_table = table(("status", "code: when"), errors, caption=caption)
        return "".join(parts) + f"<details><summary>Errors</summary>{errors_table}</details>"

    def _content(self, media_type: str, media: Schema, id_: str) -> str:
        found = "".join(
            example(each["value"], label=f"example of {media_type}, {name}, of {id_}")
            for name, each in media.get("examples", {}).items()
        )
        schemas = [self._resolver.resolve(media["schema"])]
        schemas = schemas[0].get("anyOf", schemas)
        fields = "".join(
            field_table(
                self._resolver.rows(each), caption=f"Fields {number} of {id_}, {media_type}"
            )
            for number, each in enumerate(schemas, start=1)
        )
        more = f"<details><summary>Fields</summary>{fields}</details>" if fields else ""
        return f"<p><code>{media_type}</code></p>{found}{more}"

    def _curl(self, path: str, operation: Schema, parameters: list[Schema]) -> str:
        words, _, query = self._by_id[operation["operationId"]].curl.partition("?")
        for each in parameters:
            if each["in"] == "path":
                path = path.replace(f"{{{each['name']}}}", quote(str(each["example"])))
        if operation["operationId"] == "stream":
            line = f"timbre listen mic --url {ORIGIN.replace('http', 'ws')} --model instruments"
            return copied(line, label="command that streams")
        needs_key = bool(operation["security"]) and {} not in operation["security"]
        key = "-H 'Authorization: Bearer KEY' " if needs_key else ""
        url = ORIGIN + path + (f"?{query}" if query else "")
        line = f"curl {key}{words.strip()}{' ' if words.strip() else ''}'{url}'"
        return copied(line, label=f"curl of {operation['operationId']}")

    def _try(self, path: str, method: str, operation: Schema, parameters: list[Schema]) -> str:
        takes_file = operation["operationId"] == "classify"
        answers = operation["responses"].get("200", {}).get("content", {})
        if not (takes_file or (method == "get" and "application/json" in answers)):
            return ""
        id_ = operation["operationId"]
        fields = [
            input_of(id_, each, self._resolver.resolve(each["schema"]))
            for each in parameters
            if each["in"] in ("path", "query") and each["name"] != "url"
        ]
        if takes_file:
            fields.append(
                '<label class="field">file <input type="file" name="file" data-in="body"></label>'
            )
        return (
            f'<form class="try" hidden data-method="{method}" data-path="{html.escape(path)}"'
            f' aria-label="Try {id_}">{"".join(fields)}<button class="main">Send</button></form>'
            '<div class="answer" role="status"></div>'
        )


def shown_path(path: str) -> str:
    """Return a path that may be broken after its slashes."""
    return html.escape(path).replace("/", "/<wbr>")


def method_mark(method: str) -> str:
    """Return the name of a method, coloured."""
    return f'<span class="method" data-method="{method}">{method.upper()}</span>'


def input_of(id_: str, parameter: Schema, schema: Schema) -> str:
    """Return a field for a parameter, empty unless it is required."""
    name = parameter["name"]
    attributes = f'name="{name}" data-in="{parameter["in"]}" id="{id_}-{name}"'
    choices = ["true", "false"] if schema.get("type") == "boolean" else schema.get("enum")
    if choices:
        empty = [] if parameter["required"] else [""]
        options = "".join(f"<option>{html.escape(each)}</option>" for each in [*empty, *choices])
        control = f"<select {attributes}>{options}</select>"
    else:
        given = html.escape(str(parameter.get("example", "")))
        shown = f'value="{given}"' if parameter["required"] else f'placeholder="{given}"'
        control = f'<input type="text" {attributes} {shown}>'
    return f'<label class="field">{name} {control}</label>'


def stream_contents(stream: Schema) -> str:
    """Return the entries of the messages in the table of contents."""
    links = "".join(
        f'<li><a href="#message-{name}"><span>{html.escape(message["title"])}</span></a></li>'
        for name, message in stream["components"]["messages"].items()
    )
    return f'<h2><a href="#messages">Messages of a stream</a></h2><ul>{links}</ul>'


def stream_section(stream: Schema) -> str:
    """Return the section of the stream and its messages."""
    resolver = Resolver(stream)
    parts = []
    for name, message in stream["components"]["messages"].items():
        sender = "client" if message["title"].endswith("client") else "server"
        rows = resolver.rows(message["payload"])
        parts.append(
            f'<details class="route" id="message-{name}"><summary><h3>'
            f'<span class="method" data-method="{sender}">{sender}</span> '
            f"<code>{message['name']}</code></h3><span>{marked(sentence(message['summary']))}</span>"
            "</summary>"
            + "".join(
                example(each["payload"], label=f"example of {message['title']}")
                for each in message.get("examples", ())
            )
            + field_table(rows, caption=f"Fields of {message['title']}")
            + "</details>"
        )
    about = marked(stream["info"]["description"])
    head = f'<h2 id="messages">Messages of a stream</h2><p class="lead">{about}</p>'
    return f"<section>{head}{''.join(parts)}</section>"


TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="The HTTP routes and the stream of this Timbre server">
<title>API - Timbre</title>
<link rel="icon" type="image/svg+xml" href="/app/{version}/icon.svg">
<link rel="stylesheet" href="/app/{version}/app.css">
<link rel="stylesheet" href="/app/{version}/docs.css">
<script type="module" src="/app/{version}/docs.js"></script>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header>
  <a class="brand" href="/app/listen"><img src="/app/{version}/icon.svg" alt="" width="26"
    height="26">Timbre</a>
  <nav aria-label="Description">
    <a href="/docs" aria-current="page">API</a>
    <a href="/openapi.json">OpenAPI</a>
    <a href="/asyncapi.json">AsyncAPI</a>
  </nav>
</header>
<div class="docs">
<nav class="contents" aria-label="Routes and messages">{contents}</nav>
<main id="main" tabindex="-1">
<h1>API</h1>
<p class="lead">{about}</p>
<p class="key"{key}><label class="field">API key <input type="password" id="key"
  autocomplete="off" placeholder="timbre_..."></label></p>
{sections}
</main>
</div>
</body>
</html>
"""
