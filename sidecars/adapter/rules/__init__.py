"""Evaluate rules, a part of PromQL, over an app's metrics: text and an `Exposition` in, `RuleResult`s out. No I/O.

    the text of the rules
      | lexer               tokens
      | token_stream        one token of look-ahead
      | parser              the grammar of expressions, with `label_matchers` for =~ and !~
      v
    ast                     expressions: selectors, calls, aggregations, binary operations
      v
    rule                    `Rule`: name, expression, comparison, severity
      |
      |   an Exposition at an instant
      v     v
    rule_evaluator          one for each app: evaluates all rules, keeps the histories
      | expression_evaluator    selectors with lookback, and functions over an instant vector
      | series_history          the points that range vector selectors need
      | range_functions         rate(), increase(), delta(), stale()
      | vector_operations       arithmetic, comparison, set operators, vector matching, aggregation
      v
    results                 `RuleResult`: state, deciding series, reason

Read `rule` first, then `rule_evaluator`. docs/reference/rules.md is the reference of the language.
"""
