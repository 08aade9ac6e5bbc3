"""Errors as the service's own routes tell them."""

from service.http.error_schemas import ERRORS


def problem(response, status, code, message, field=None):
    """Asserts that a response is this error, in the one shape that errors have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert response.json().keys() == {"error"}
    assert error.keys() == {"code", "message", "field", "found", "wanted"}
    assert (error["code"], error["message"], error["field"]) == (code, message, field)
    if status in ERRORS and code != "not_found":
        assert code in ERRORS[status][1]  # documented
    return error
