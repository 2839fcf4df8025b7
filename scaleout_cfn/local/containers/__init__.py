"""The rehearsal with real containers: tasks run under docker or podman, behind a balancer on 127.0.0.1, and they scale.

engine: the program that runs containers; tasks: a task definition as containers; lifecycle: a task from its beginning
to its end; nodes: the slots that tasks are placed on; balancer: listeners, rules, health and draining; scaling: the
services' loops, and what puts all to work in the emulator's process.
"""
