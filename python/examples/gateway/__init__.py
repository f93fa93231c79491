"""A gateway: an OpenAI-compatible proxy that schedules requests onto several engine servers. See `docs/GATEWAY.md`.

    python -m gateway gateway.toml

`config` is what an operator says, `keys` who asks, `request` what is asked, `answer` what is told of it whatever
happens to engines on the way, `client` where it is told, `engine` one engine server, `fleet` all of them and their
health, `leases` what replicas share, `proxy` the way of one request, `refusal` why there is none, `metrics` what is
counted, `app` the routes, and `server` HTTP and signals.
"""
