"""HttpProtocol without a socket: which phases have a timeout."""

from service.server.http_protocol import LINGER_S, ConnectionLimits, Phase, timeouts


def test_each_phase_that_waits_for_the_client_has_a_timeout():
    limits = ConnectionLimits(header_timeout_s=1, body_timeout_s=2, keep_alive_timeout_s=3, connections=4)
    found = {phase: timeout.limit_s for phase, timeout in timeouts(limits).items()}
    assert found == {
        Phase.OVER_LIMIT: 1,
        Phase.CONNECTED: 1,
        Phase.HEAD: 1,
        Phase.BODY: 2,
        Phase.IDLE: 3,
        Phase.LINGERING: LINGER_S,
        Phase.UNREAD: 2,
    }
    assert {*Phase} - {*found} == {Phase.ANSWERING}, "it waits for the application"
