package archive

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxGUID is the longest GUID that is believed, in bytes.
const maxGUID = 64

// parseAnswer returns the word in an answer of the restore service, which is
// one XML element named string with text in it and nothing else.
func parseAnswer(body []byte) (string, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	var word strings.Builder
	depth, ended := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && ended {
			return strings.TrimSpace(word.String()), nil
		}
		if err != nil {
			return "", fmt.Errorf("XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth > 0 || ended || t.Name.Local != "string" {
				return "", fmt.Errorf("XML: element %s where one string was expected", quote(t.Name.Local))
			}
			depth++
		case xml.EndElement:
			depth, ended = depth-1, true
		case xml.CharData:
			if depth > 0 {
				word.Write(t)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return "", errors.New("XML: text outside of the element")
			}
		case xml.Directive:
			return "", errors.New("XML: document type declaration")
		}
	}
}

// checkGUID refuses what could not be the name of a directory of our own.
func checkGUID(guid string) error {
	if guid == "" || len(guid) > maxGUID {
		return fmt.Errorf("length %d is not between 1 and %d", len(guid), maxGUID)
	}
	if guid[0] == '-' {
		return errors.New("it starts with a dash")
	}
	for _, r := range guid {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return fmt.Errorf("character %q is neither letter, digit nor dash", r)
		}
	}
	return nil
}
