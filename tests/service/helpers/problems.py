"""What every problem document has."""


def is_problem(status, answer, headers):
    return (
        set(answer) == {"type", "title", "status", "detail"}
        and answer["status"] == status
        and answer["type"].startswith("urn:timbre:problem:")
        and headers["Content-Type"].startswith("application/problem+json")
        and "Traceback" not in str(answer)
    )
