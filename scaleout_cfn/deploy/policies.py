"""The least-privilege policies of the deployer and of the role that CloudFormation works with. Pure."""
