"""Endpoints from Kubernetes: the EndpointSlices of a Service, listed and then watched through the API server.

    settings ──▶ api_place.ApiPlace ──▶ api_client.ApiClient ◀── HTTP ── the API server
                 (address, token, CA)          │ pages of a list, lines of a watch
                                               ▼
    slice_watch.SliceWatch: list, watch, resume, list again ──▶ documents ──▶ slice_table.SliceTable
                                                                                    │ EndpointSlices
    follower.Follower: which source is in force ◀── selection.choose_endpoints ◀────┘
          │ on_dns_answer                     └──▶ DNS of the same Service while the API is away
          ▼
    the upstream

- `endpoint_slices`: one EndpointSlice (discovery.k8s.io/v1) from JSON. Pure.
- `slice_table`: all slices of one Service, by a list and the events of a watch. Pure. Read this one first.
- `selection`: the choice of addresses: port, family, ready, serving and terminating, zones. Pure.
- `documents`: JSON of bounded size, and the lines of a watch. Pure.
- `backoff`: the pauses between attempts that fail. Pure.
- `paced_call`: a large Service that changes all the time takes a tenth of the event loop.
- `api_place`, `api_client`, `slice_watch`, `follower`: the I/O. `tasks` puts them together.

Only an upstream of `k8s://` loads this package. Nothing here can end the process, and every size has a limit.
"""
