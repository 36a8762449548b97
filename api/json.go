package api

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// strictJSON takes one JSON value (RFC 8259) in UTF-8, without duplicate or unknown names and with nothing behind it.
var strictJSON = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		return explainJSON(json.Unmarshal(data, v, json.RejectUnknownMembers(true)))
	},
}

// jsonAppender is a body that needs no reflection.
type jsonAppender interface{ appendJSON(to []byte) []byte }

// marshal writes a body as JSON with a line's end.
func marshal(w io.Writer, body any) error {
	if fast, is := body.(jsonAppender); is {
		_, err := w.Write(fast.appendJSON(make([]byte, 0, 256)))
		return err
	}
	return strictJSON.Marshal(w, body)
}

// explainJSON says what is wrong with a body in words for who sent it.
func explainJSON(err error) error {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		what := strings.TrimPrefix(syntax.Err.Error(), "jsontext: ")
		return fmt.Errorf("the body must be one JSON object: %s%s at byte %d", what, within(syntax.JSONPointer), syntax.ByteOffset)
	case errors.As(err, &semantic) && semantic.Err != nil:
		return fmt.Errorf("%w%s", semantic.Err, within(semantic.JSONPointer))
	case errors.As(err, &semantic):
		return fmt.Errorf("a %s is not allowed%s", semantic.JSONKind, within(semantic.JSONPointer))
	}
	return err
}

func within(p jsontext.Pointer) string {
	if p == "" {
		return ""
	}
	return " in " + strings.ReplaceAll(strings.TrimPrefix(string(p), "/"), "/", ".")
}
