"""What a ready-made proxy in front of a service is told."""

from __future__ import annotations

from typing import Any


def nginx(port: int, to_port: int, status: str) -> str:
    """`status` is the path that says to the task's other containers how many requests there were; empty for none."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"  {kind}_temp_path /tmp/{kind};" for kind in kinds)
    told = f"    location = {status} {{ stub_status; allow 127.0.0.1; deny all; }}\n" if status else ""
    return f"""worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
{temporary}
  access_log off;
  server_tokens off;
  client_max_body_size 0;
  keepalive_timeout 75s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream service {{ server 127.0.0.1:{to_port}; keepalive 64; }}
  server {{
    listen {port} backlog=4096;
{told}    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


def envoy(port: int, to_port: int, protocol: str) -> dict[str, Any]:
    """https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/examples"""
    extensions = "type.googleapis.com/envoy.extensions"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{extensions}.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "service",
        "codec_type": "AUTO",
        "stream_idle_timeout": "3600s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # The load balancer's own headers are the client's, as far as the service is concerned.
        "use_remote_address": False,
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "service",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service", "timeout": "0s"}}],
                }
            ]
        },
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": to_port}}
    cluster: dict[str, Any] = {
        "name": "service",
        "connect_timeout": "1s",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "service",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if protocol != "http1":
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{extensions}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    listener = {
        "name": "front",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
