"""The native API as data: one module for each noun, with its wire types and its operations.

What a client sends are the inputs of the domain itself (`NewUser`, `SessionChange` …), or types of
the noun's module. HTTP routes, the OpenAPI document and the SDK are all made from the table in
`operations`, so that they cannot drift apart.
"""
