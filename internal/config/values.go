package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

func assignString(p *string, raw any) (problem, want string) {
	v, ok := raw.(string)
	switch {
	case !ok:
		return "is " + describe(raw) + ", not text", "write it in quotes" + asText(raw)
	case !printable(v):
		return "has a control character in it", "write it on one line"
	}
	*p = v
	return "", ""
}

// assignSecret never says what the value is.
func assignSecret(p *Secret, raw any) (problem, want string) {
	v, ok := raw.(string)
	switch {
	case !ok:
		return "is " + describe(raw) + ", not text", "write it in quotes"
	case !printable(v):
		return "has a control character in it", "write it on one line"
	case v == Secret("x").String():
		return "is what is shown in place of it", "give the secret itself"
	}
	*p = Secret(v)
	return "", ""
}

func assignFloat(p *float64, raw any) (problem, want string) {
	switch v := raw.(type) {
	case int64:
		*p = float64(v)
		return "", ""
	case float64:
		if math.Abs(v) < math.MaxInt32 { // neither infinite nor no number at all
			*p = v
			return "", ""
		}
	}
	return "is " + describe(raw) + ", not a number", "write a number, as 1.5, without quotes"
}

func assignInt(p *int, raw any) (problem, want string) {
	switch v := raw.(type) {
	case int64:
		if v != int64(int32(v)) { // no setting comes near, and a sum of two cannot overflow
			return fmt.Sprintf("is %d, which is out of all proportion", v), fmt.Sprintf("it must be between 0 and %d", math.MaxInt32)
		}
		*p = int(v)
		return "", ""
	case string:
		if n, err := strconv.Atoi(v); err == nil {
			return "is text, not a number", fmt.Sprintf("write it without quotes, as %d", n)
		}
	case float64:
		if math.Abs(v) < math.MaxInt32 {
			return "is a fraction", fmt.Sprintf("write a whole number, as %.0f", v)
		}
	}
	return "is " + describe(raw) + ", not a number", "write a whole number, without quotes"
}

func assignDuration(p *Duration, raw any) (problem, want string) {
	switch v := raw.(type) {
	case string:
		d, err := ParseDuration(v)
		switch {
		case err == nil:
			*p = d
			return "", ""
		case bareNumber(v):
			return "has no unit", fmt.Sprintf("write it with a unit, as %q", v+"s")
		}
		return fmt.Sprintf("is %q, which is no time span", v), err.Error()
	case int64:
		if v == 0 {
			*p = 0
			return "", ""
		}
		if v > 0 {
			return "has no unit", fmt.Sprintf(`write it with a unit, as "%ds"`, v)
		}
	}
	return "is " + describe(raw) + ", not a time span", errDuration.Error()
}

func assignSize(p *Size, raw any) (problem, want string) {
	switch v := raw.(type) {
	case string:
		s, err := ParseSize(v)
		switch {
		case err == nil:
			*p = s
			return "", ""
		case bareNumber(v):
			return "has no unit", fmt.Sprintf("write it with a unit, as %q", v+"B")
		}
		return fmt.Sprintf("is %q, which is no size", v), err.Error()
	case int64:
		if v == 0 {
			*p = 0
			return "", ""
		}
		if v > 0 {
			return "has no unit", fmt.Sprintf("write it with a unit, as %q", Size(v))
		}
	}
	return "is " + describe(raw) + ", not a size", errSize.Error()
}

// assignList sets a list whose elements are all of one kind.
func assignList[T any](p *[]T, raw any, want string) (string, string) {
	items, ok := raw.([]any)
	if !ok {
		return "is " + describe(raw) + ", not a list", want
	}
	list := make([]T, len(items))
	for i, item := range items {
		if problem, _ := assignItem(reflect.ValueOf(&list[i]).Elem(), item); problem != "" {
			return fmt.Sprintf("has a wrong element %d: it %s", i+1, problem), want
		}
	}
	*p = list
	return "", ""
}

// assignMap sets a table whose values are all of one kind.
func assignMap[T any](p *map[string]T, raw any, want string) (string, string) {
	items, ok := raw.(map[string]any)
	if !ok {
		return "is " + describe(raw) + ", not a table", want
	}
	table := make(map[string]T, len(items))
	for key, item := range items {
		var v T
		if problem, _ := assignItem(reflect.ValueOf(&v).Elem(), item); problem != "" {
			return fmt.Sprintf("has a wrong value at %q: it %s", key, problem), want
		}
		table[key] = v
	}
	*p = table
	return "", ""
}

// assignItem is assign for what stands in a list or table: words of a command
// may well hold a line break, but no NUL, which no program could be given.
func assignItem(field reflect.Value, raw any) (problem, want string) {
	text, isText := raw.(string)
	if p, ok := field.Addr().Interface().(*string); ok && isText {
		if strings.Contains(text, "\x00") {
			return "has a NUL character in it", ""
		}
		*p = text
		return "", ""
	}
	return assign(field, raw, "")
}

// describe names the type of a TOML value.
func describe(raw any) string {
	switch raw.(type) {
	case string:
		return "text"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "a list of tables"
	default:
		return "a list"
	}
}

// asText shows how a number or switch is written as text.
func asText(raw any) string {
	switch raw.(type) {
	case int64, float64, bool:
		return fmt.Sprintf(`, as "%v"`, raw)
	default:
		return ""
	}
}

func bareNumber(text string) bool {
	return text != "" && strings.Trim(text, digits+".") == "" && strings.Count(text, ".") <= 1 && text != "."
}

// printable reports whether the text is all on one line. What has line breaks
// in it could say more to a server than it should.
func printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, unicode.IsControl) < 0
}
