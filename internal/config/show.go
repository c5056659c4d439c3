package config

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Show writes the effective configuration as TOML, with "[secret]" for every
// secret, and says of each setting that does not stand in the file where it
// comes from.
func (c *Config) Show(w io.Writer) error {
	var b strings.Builder
	for name, field := range settings(reflect.ValueOf(c).Elem()) {
		if field.Kind() == reflect.Struct {
			fmt.Fprintf(&b, "[%s]\n", name)
			c.showTable(&b, field, name)
			continue
		}
		for i := range field.Len() {
			fmt.Fprintf(&b, "[[%s]]\n", name)
			c.showTable(&b, field.Index(i), fmt.Sprintf("%s[%d]", name, i))
		}
	}
	_, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

// showTable writes the settings of a section or entry, and an empty line.
func (c *Config) showTable(b *strings.Builder, table reflect.Value, path string) {
	for key, field := range settings(table) {
		line := key + " = " + formatValue(field)
		if from := c.source(path + "." + key); from != "" {
			line = fmt.Sprintf("%-50s # %s", line, from)
		}
		b.WriteString(line + "\n")
	}
	b.WriteString("\n")
}

// source says where a setting comes from; "" for the file itself.
func (c *Config) source(path string) string {
	at, elsewhere := c.origin.elsewhere[path]
	switch {
	case elsewhere && at.line > 0:
		return fmt.Sprintf("from the file that line %d names", at.line)
	case elsewhere:
		return "from " + at.file
	case !c.origin.given(path):
		return "default"
	default:
		return ""
	}
}

// formatValue writes a setting as TOML does.
func formatValue(field reflect.Value) string {
	switch v := field.Interface().(type) {
	case string:
		return formatString(v)
	case fmt.Stringer: // Duration, Size, Secret
		return formatString(v.String())
	case []string:
		return formatList(v, formatString)
	case []int:
		return formatList(v, strconv.Itoa)
	case map[string]string:
		return formatTable(v, formatString)
	case map[string][]string:
		return formatTable(v, func(list []string) string { return formatList(list, formatString) })
	default: // bool, int
		return fmt.Sprint(v)
	}
}

func formatList[T any](list []T, format func(T) string) string {
	items := make([]string, len(list))
	for i, item := range list {
		items[i] = format(item)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func formatTable[T any](table map[string]T, format func(T) string) string {
	if len(table) == 0 {
		return "{}"
	}
	items := make([]string, 0, len(table))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		name := key
		if !spelled(key, letters+digits+"_-", letters+digits+"_-") {
			name = formatString(key)
		}
		items = append(items, name+" = "+format(table[key]))
	}
	return "{ " + strings.Join(items, ", ") + " }"
}

// formatString quotes a text; patterns keep their backslashes as they are.
func formatString(text string) string {
	if strings.Contains(text, `\`) && !strings.Contains(text, "'") && printable(text) {
		return "'" + text + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
