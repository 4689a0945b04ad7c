"""The grammars of other languages than Python, and which of their nodes declare something: queries of tree-sitter.

Owns what counts as a declaration in each language. In a query, a capture called `name`, `parameters` or `owner` is a
part of the declaration that the other capture of its pattern is, which is called after its kind; a `base` belongs to
the declaration around it; what is `called` must be one of IMPORTING. What has no name declares nothing, but what is in
it is in nothing else. Knows nothing of files.
"""

from __future__ import annotations

from functools import cache

import tree_sitter
import tree_sitter_c
import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_ruby
import tree_sitter_rust
import tree_sitter_typescript

_JAVASCRIPT = """
(class_declaration name: (_) @name) @class
(variable_declarator name: (identifier) @name value: (class) @class)
(class) @class
(object (method_definition)) @object
(function_declaration name: (_) @name parameters: (_) @parameters) @function
(generator_function_declaration name: (_) @name parameters: (_) @parameters) @function
(variable_declarator name: (identifier) @name value: [
  (arrow_function parameters: (_) @parameters)
  (arrow_function parameter: (_) @parameters)
  (function_expression parameters: (_) @parameters)
  (generator_function parameters: (_) @parameters)
]) @function
(method_definition name: (_) @name parameters: (_) @parameters) @method
(import_statement source: (string) @name) @import
(export_statement source: (string) @name) @import
(call_expression function: (identifier) @called arguments: (arguments . (string) @name .)) @import
"""
_TYPESCRIPT = (
    _JAVASCRIPT
    + """
(abstract_class_declaration name: (_) @name) @class
(function_signature name: (_) @name parameters: (_) @parameters) @function
(abstract_method_signature name: (_) @name parameters: (_) @parameters) @method
(interface_declaration name: (_) @name) @interface
(interface_body (method_signature name: (_) @name parameters: (_) @parameters) @method)
(enum_declaration name: (_) @name) @enum
(internal_module name: (_) @name) @namespace
(class_heritage (extends_clause value: (_) @base))
(implements_clause (_) @base)
(extends_type_clause type: (_) @base)
"""
)
_GO = """
(type_spec name: (_) @name type: (struct_type)) @struct
(type_spec name: (_) @name type: (interface_type)) @interface
(type_spec type: (struct_type (field_declaration_list (field_declaration !name type: (_) @base))))
(type_spec type: (interface_type (type_elem . (_) @base .)))
(type_spec type: (interface_type (method_elem name: (_) @name parameters: (_) @parameters) @method))
(function_declaration name: (_) @name parameters: (_) @parameters) @function
(method_declaration
  receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @owner
    (pointer_type (type_identifier) @owner)
    (generic_type type: (type_identifier) @owner)
    (pointer_type (generic_type type: (type_identifier) @owner))
  ]))
  name: (_) @name parameters: (_) @parameters) @method
(import_spec path: (_) @name) @import
"""
_RUST = """
(struct_item name: (_) @name) @struct
(enum_item name: (_) @name) @enum
(union_item name: (_) @name) @union
(trait_item name: (_) @name) @trait
(trait_item bounds: (trait_bounds (_) @base))
(impl_item type: (_) @name) @impl
(impl_item trait: (_) @base)
(function_item name: (_) @name parameters: (_) @parameters) @function
(function_signature_item name: (_) @name parameters: (_) @parameters) @function
(use_declaration argument: (_) @name) @import
"""
_JAVA = """
(class_declaration name: (_) @name) @class
(record_declaration name: (_) @name parameters: (_) @parameters) @record
(interface_declaration name: (_) @name) @interface
(annotation_type_declaration name: (_) @name) @annotation
(enum_declaration name: (_) @name) @enum
(superclass (_) @base)
(super_interfaces (type_list (_) @base))
(extends_interfaces (type_list (_) @base))
(method_declaration name: (_) @name parameters: (_) @parameters) @method
(object_creation_expression (class_body)) @object
(constructor_declaration name: (_) @name parameters: (_) @parameters) @constructor
(import_declaration [(identifier) (scoped_identifier)] @name) @import
"""
_C = """
(struct_specifier name: (_) @name body: (_)) @struct
(union_specifier name: (_) @name body: (_)) @union
(enum_specifier name: (_) @name body: (_)) @enum
(type_definition type: (struct_specifier !name body: (_)) declarator: (type_identifier) @name) @struct
(type_definition type: (union_specifier !name body: (_)) declarator: (type_identifier) @name) @union
(type_definition type: (enum_specifier !name body: (_)) declarator: (type_identifier) @name) @enum
(function_definition declarator: [
  (function_declarator declarator: (identifier) @name parameters: (_) @parameters)
  (pointer_declarator (function_declarator declarator: (identifier) @name parameters: (_) @parameters))
  (pointer_declarator
    (pointer_declarator (function_declarator declarator: (identifier) @name parameters: (_) @parameters)))
]) @function
(preproc_include path: (_) @name) @import
"""
_RUBY = """
(class name: (_) @name) @class
(class superclass: (superclass (_) @base))
(module name: (_) @name) @module
(method name: (_) @name parameters: (_)? @parameters) @method
(singleton_method name: (_) @name parameters: (_)? @parameters) @method
(call method: (identifier) @called arguments: (argument_list . (string) @name .)) @import
"""
_GRAMMARS = {
    "javascript": (tree_sitter_javascript.language, _JAVASCRIPT + "(class_heritage (_) @base)"),
    "typescript": (tree_sitter_typescript.language_typescript, _TYPESCRIPT),
    "tsx": (tree_sitter_typescript.language_tsx, _TYPESCRIPT),
    "go": (tree_sitter_go.language, _GO),
    "rust": (tree_sitter_rust.language, _RUST),
    "java": (tree_sitter_java.language, _JAVA),
    "c": (tree_sitter_c.language, _C),
    "ruby": (tree_sitter_ruby.language, _RUBY),
}
GRAMMARS = frozenset(_GRAMMARS)
IMPORTING = frozenset({b"require", b"require_relative"})


@cache
def grammar(language: str) -> tuple[tree_sitter.Language, tree_sitter.Query]:
    """The grammar of a language of GRAMMARS, and the query of what it declares."""
    load, query = _GRAMMARS[language]
    loaded = tree_sitter.Language(load())
    return loaded, tree_sitter.Query(loaded, query)
