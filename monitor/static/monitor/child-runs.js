/** The runs inside of a run: each is asked for when somebody opens it, and not before. */

// `toggle` does not bubble.
document.addEventListener("toggle", ({ target }) => target.open && target.matches(".child-run") && follow(target), true);

function follow(opened) {
	const bar = opened.querySelector("task-progress");
	if (!bar.hasAttribute("src")) bar.setAttribute("src", bar.dataset.src);
}
