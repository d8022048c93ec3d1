"""Messages in the formats of model providers: OpenAI chat, OpenAI Responses, Anthropic.

`reading` maps a provider's message to the fields of a message; the original is kept in `data`.
`prompts` maps messages back, to the format that they came from or to another one. Each format has a
module. Between two formats, a message is a `Turn` of parts, which are in `parts`.

Everything here is pure: dicts in, dicts out. No package of a provider is needed.
"""
