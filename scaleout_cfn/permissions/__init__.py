"""Who may do what: the policies of those who deploy, and the role that CloudFormation works with."""
