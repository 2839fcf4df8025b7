"""The first cause of a failure, at any later time: nested events, and what ECS, the logs and the balancer still know."""
