"""The resource types that MiniStack does not know, one module for each AWS service.

Where MiniStack has the service's API, a type is made through that API and is visible there.
Where it has none, `limits.STUBS` says so.
"""
