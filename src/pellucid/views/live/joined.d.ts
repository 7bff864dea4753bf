/** What is added where the parts are joined: the style sheet of the controls. */
declare const STYLE: string;
