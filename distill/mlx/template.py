"""The chat template given to models that came without one for tools: Hermes style, as Qwen2.5 has it, but short."""

HERMES = """\
{%- if messages[0].role in ('system', 'developer') or tools -%}
<|im_start|>system
{{ messages[0].content if messages[0].role in ('system', 'developer') else 'You are a helpful assistant.' }}
{%- if tools %}


You may call these tools:
<tools>
{% for tool in tools -%}
{{ tool.function | tojson }}
{% endfor -%}
</tools>
Call one as
<tool_call>
{"name": <name>, "arguments": <object>}
</tool_call>
{%- endif %}<|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if message.role in ('system', 'developer') -%}
{%- if not loop.first -%}
<|im_start|>system
{{ message.content }}<|im_end|>
{% endif -%}
{%- elif message.role in ('tool', 'function') -%}
{%- if loop.first or loop.previtem.role not in ('tool', 'function') -%}
<|im_start|>user
{% endif -%}
<tool_response>
{{ message.content }}
</tool_response>
{%- if loop.last or loop.nextitem.role not in ('tool', 'function') -%}
<|im_end|>
{% else -%}
{{ '\\n' }}
{%- endif -%}
{%- elif message.role == 'assistant' -%}
<|im_start|>assistant
{{ message.content }}
{%- for call in message.tool_calls or [] -%}
{{ '\\n' if message.content or not loop.first }}<tool_call>
{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor -%}
<|im_end|>
{% else -%}
<|im_start|>user
{{ message.content }}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
