"""The routes of the page, and of the description itself."""

from __future__ import annotations

from common.errors import NotFound
from service.api.page import VIEWS
from service.api_description.operation import Answer, Media, Operation, Parameter

TEXT = {"type": "string"}
ETAG = Parameter(
    name="ETag", place="header", schema=TEXT, meaning="Of its contents.", required=True
)
UNCHANGED = Answer(
    status=304, meaning="`If-None-Match` names what would be sent.", headers={"ETag": ETAG}
)


def _document(media_type: str, meaning: str) -> tuple[Answer, ...]:
    content = {media_type: Media(schema=TEXT if media_type == "text/html" else {"type": "object"})}
    return Answer(meaning=meaning, content=content, headers={"ETag": ETAG}), UNCHANGED


DOCUMENT = _document("text/html", "The document of all views.")
PAGE: tuple[Operation, ...] = (
    Operation(
        id="showPage",
        method="get",
        path="/",
        tag="Page",
        summary="The page, at its first view",
        answers=DOCUMENT,
    ),
    Operation(
        id="showView",
        method="get",
        path="/app/{view}",
        tag="Page",
        summary=f"The page at a view: {', '.join(VIEWS)}",
        answers=DOCUMENT,
        errors=(NotFound,),
    ),
    Operation(
        id="readPageFile",
        method="get",
        path="/app/{version}/{file}",
        tag="Page",
        summary="A file of the page, cached for ever",
        answers=(Answer(meaning="The file.", content={"*/*": Media(schema={})}),),
        errors=(NotFound,),
    ),
)
DESCRIPTION: tuple[Operation, ...] = tuple(
    Operation(
        id=id_,
        method="get",
        path=path,
        tag="Page",
        summary=summary,
        answers=_document(media_type, meaning),
    )
    for id_, path, media_type, summary, meaning in (
        ("showDocs", "/docs", "text/html", "This description, as a page", "The page."),
        (
            *("readOpenApi", "/openapi.json", "application/json"),
            *("The HTTP routes in OpenAPI 3.1", "This document."),
        ),
        (
            *("readAsyncApi", "/asyncapi.json", "application/json"),
            *("The stream and its messages in AsyncAPI 3.0", "The document."),
        ),
    )
)
OPERATIONS = (*PAGE, *DESCRIPTION)
