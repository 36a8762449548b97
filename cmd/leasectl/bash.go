package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// printBash prints the script that makes bash complete.
func (a *app) printBash(cmd *cobra.Command, _ []string) error {
	bare, err := cmd.Flags().GetBool("no-descriptions")
	if err != nil {
		return err
	}
	var script strings.Builder
	if err = cmd.Root().GenBashCompletionV2(&script, !bare); err != nil {
		return &failure{exitSoftware, err.Error()}
	}
	text, err := mendBash(script.String())
	if err != nil {
		return &failure{exitSoftware, err.Error()}
	}
	return a.print(text)
}

// mendBash corrects the lines of cobra's script that are wrong about what bash escapes, such as the comma of a selector: the first drops
// what is offered when what was typed is not escaped, and the second, which leaves away what stands before the = that begins a word for
// readline, does not when only one of the two is escaped.
func mendBash(script string) (string, error) {
	for wrong, right := range map[string]string{
		`[[ $comp == "$cur"* ]] || continue`: `[[ $comp == "$cur"* || ${compline%%$tab*} == "$cur"* ]] || continue`,
		`COMPREPLY[idx]=${COMPREPLY[idx]#"$word"}`: `local form
            for form in "$word" "$(printf %q "$word")" "${word//\\/}"; do
                [[ ${COMPREPLY[idx]} == "$form"* ]] || continue
                COMPREPLY[idx]=${COMPREPLY[idx]#"$form"}
                break
            done`,
	} {
		if strings.Count(script, wrong) != 1 {
			return "", fmt.Errorf("cobra's script for bash has changed: it does not have %s once", wrong)
		}
		script = strings.Replace(script, wrong, right, 1)
	}
	return script, nil
}
