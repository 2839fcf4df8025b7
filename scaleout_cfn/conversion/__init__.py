"""What others are told, as a config: Copilot's manifests, Compose files, http-scale-out's Terraform, services that run.

Each reader (`copilot`, `compose`, `terraform`, `running`) takes its source apart into items that know where they stand
(`sources`), puts what it can say into a draft of a config, and says of each item what became of it (`drafts`). A draft
ends as a config that renders, and as a page on which each leaf of the source has its line.
"""

from scaleout_cfn.conversion.drafts import Draft, Imported

__all__ = ["Draft", "Imported"]
