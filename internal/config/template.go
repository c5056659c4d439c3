package config

import "strings"

// part is a piece of a template: literal text, or the name of a placeholder.
type part struct {
	text        string
	placeholder bool
}

// splitTemplate cuts a text with {placeholders} into its parts. If the braces
// do not match it says so in problem.
func splitTemplate(text string) (parts []part, problem string) {
	for text != "" {
		literal, rest, open := strings.Cut(text, "{")
		if strings.Contains(literal, "}") {
			return nil, "has a } without its {"
		}
		if literal != "" {
			parts = append(parts, part{text: literal})
		}
		if !open {
			break
		}
		name, rest, closed := strings.Cut(rest, "}")
		if !closed || strings.Contains(name, "{") {
			return nil, "has a { without its }"
		}
		parts = append(parts, part{name, true})
		text = rest
	}
	return parts, ""
}
