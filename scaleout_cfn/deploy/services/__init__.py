"""What runs, by name: services, their rollouts, tasks and logs."""
