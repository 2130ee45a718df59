//! `truehop recipe`: a proxy's configuration, and the policy that fits it.

use truehop::recipe;

use crate::args::RecipeArgs;
use crate::output::say;
use crate::status::{Failure, Status};

/// Prints one recipe, or the names of all.
pub(crate) fn recipe(args: &RecipeArgs) -> Result<Status, Failure> {
    let Some(name) = &args.name else {
        let width = recipe::ALL
            .iter()
            .map(|recipe| recipe.name.len())
            .max()
            .unwrap_or_default();
        let lines: Vec<_> = recipe::ALL
            .iter()
            .map(|recipe| format!("{:width$}  {}", recipe.name, recipe.title))
            .collect();
        say(lines.join("\n"))?;
        return Ok(Status::Done);
    };
    let Some(recipe) = recipe::find(name) else {
        let names: Vec<_> = recipe::ALL.iter().map(|recipe| recipe.name).collect();
        let message = format!(
            "error: there is no recipe {name:?}\nhelp: there are {}",
            names.join(", ")
        );
        return Err(Failure::new(Status::Usage, message));
    };
    let notes: String = recipe.notes.iter().map(|note| format!("# - {note}\n")).collect();
    say(format!(
        "# {}\n{notes}\n# The proxy:\n\n{}\n# truehop.toml:\n\n{}",
        recipe.title,
        recipe.proxy_config.trim_end().to_owned() + "\n",
        recipe.policy.trim_end(),
    ))?;
    Ok(Status::Done)
}
