package lease

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// NamePattern is what names of pools and devices match. They become part of Redis keys and of URLs, hence no braces,
// colons, slashes or blanks.
const NamePattern = `^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`

var nameRE = regexp.MustCompile(NamePattern)

// ValidateName says what is wrong with a name of a pool or device; nil when it is valid.
func ValidateName(name string) error {
	if nameRE.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is not a name: 1 to 64 of a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends", name)
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
