package lease

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// NamePattern is what names of pools and devices match. They become part of Redis keys and of URLs, hence no braces,
// colons, slashes or blanks.
const NamePattern = `^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`

// ValidateName says what is wrong with a name of a pool or device; nil when it is valid.
func ValidateName(name string) error {
	if isName(name) {
		return nil
	}
	return fmt.Errorf("%q is not a name: 1 to 64 of a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends", name)
}

// isName reports whether s matches NamePattern, as isToken does.
func isName(s string) bool {
	const most = 64
	alphanumeric := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
	return 0 < len(s) && len(s) <= most && alphanumeric(s[0]) && alphanumeric(s[len(s)-1]) && consistsOf(s, func(c byte) bool {
		return alphanumeric(c) || c == '.' || c == '_' || c == '-'
	})
}

// ValidateLabel says what is wrong with a label; nil when it is valid. Keys and values follow the Kubernetes label syntax
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/), so that selectors can name them.
func ValidateLabel(key, value string) error {
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		return fmt.Errorf("%q is not a label key: %s", key, strings.Join(problems, "; "))
	}
	if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
		return fmt.Errorf("%q is not a label value: %s", value, strings.Join(problems, "; "))
	}
	return nil
}
